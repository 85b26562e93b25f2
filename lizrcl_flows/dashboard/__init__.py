"""A read-only web view of an archive: campaigns, documents, lineage and transport. Starts at `app.create_app`."""
