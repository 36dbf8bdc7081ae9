"""Copies in time: streams, links that share their bandwidth, and a ledger of every byte."""
