//! Settings: what an editor or a project may choose, resolved once into what the server works with.
