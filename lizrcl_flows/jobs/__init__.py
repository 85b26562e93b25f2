"""When it runs: small jobflow jobs that read by id, call science or an engine, and write a document."""
