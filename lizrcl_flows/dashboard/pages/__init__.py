"""What each page says, as plain values: the page and its JSON form are made of the same mapping."""
