"""The stand-in for Callexa: what its users see, behind calls that are invented (contract: callexa.md 5)."""
