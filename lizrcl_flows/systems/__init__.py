"""Material systems shipped with the package and the reader of campaign files."""
