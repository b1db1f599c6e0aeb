"""The bundled model systems."""
