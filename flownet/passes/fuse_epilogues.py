def fuse_epilogues(graph, target):
    return graph
