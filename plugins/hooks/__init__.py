"""One file a vendor: Airflow connections, and clients that carry the vendor's protocol."""
