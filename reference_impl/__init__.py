"""Reference implementations of the methods of multi-omics data integration."""
