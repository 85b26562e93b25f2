"""Where documents live: MongoDB collections, files, lineage, audit and the embedded server."""
