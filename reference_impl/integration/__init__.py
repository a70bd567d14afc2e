"""Methods that integrate several layers."""
