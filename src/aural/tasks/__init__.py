"""One file per job: audio in, one typed result out."""
