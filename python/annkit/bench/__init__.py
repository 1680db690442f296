"""``annkit bench``: queries per second, recall, build time and memory, beside Faiss and the other peers.

A run goes through these files: ``annkit.cli.bench`` reads the command line, ``runner`` starts one ``worker`` process
for each contender and data set, the worker lets ``measure`` sweep the settings of one of the ``contenders`` and judges
the answers by ``truth``, and ``terminal``, ``plot`` and ``report`` show the ``records`` by way of ``summary``.

Nothing here is imported by ``import annkit``.
"""
