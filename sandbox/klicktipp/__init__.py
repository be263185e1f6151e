"""The stand-in for KlickTipp, built from contract klicktipp.md."""
