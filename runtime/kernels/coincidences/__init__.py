"""The pulsed update of constant-step devices: coincidences are counted, pulses added at once."""
