"""The bundled model systems: trained networks in folders, builders in modules."""
