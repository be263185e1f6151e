"""The stand-in for eTermin's API and Web Push, built from contract etermin.md."""
