"""Tests of the probes, on real servers on the loopback interface."""
