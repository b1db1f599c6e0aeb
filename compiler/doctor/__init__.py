"""What a NIR file likely means, what is wrong with it, and whether what it leaves open matters.

``exporters`` guesses who wrote it, ``checks`` looks at every node, ``readings`` runs it under each
framework's convention and compares spikes. Sources: framework_semantics.md, sections 3, 5 and 7.
"""
