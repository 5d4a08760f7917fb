"""The embedded demo and how it is made: synthetic speech, a small encoder, a head and three adapters."""
