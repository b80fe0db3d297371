"""Pictures of the layers' masks for the documentation, a file a family; see `_canvas`."""
