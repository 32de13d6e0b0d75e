"""What is kept on disk: weights and corpora, each file checked against its SHA-256."""
