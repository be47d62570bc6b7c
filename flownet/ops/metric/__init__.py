"""Metrics: sufficient statistics of a batch, summed over batches and summarised (`flownet.op.metric.Metric`)."""
