raise SystemExit("a graph file ran this")
