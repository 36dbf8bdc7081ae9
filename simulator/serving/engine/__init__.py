"""The inner loop of a replica, compiled: arrays, and plain functions over them."""
