"""One file per family; this folder is the registry; a name is family/variant."""
