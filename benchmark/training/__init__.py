"""What is fitted on features: probes, and banks of decoders."""
