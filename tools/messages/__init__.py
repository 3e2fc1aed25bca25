"""What a reader may be told, gathered from the sources into the catalogues of `unstuck.languages`."""
