"""The stand-in for ActiveCampaign's API v3, built from contract activecampaign.md."""
