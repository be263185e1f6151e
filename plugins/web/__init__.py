"""What is served over HTTP beside Airflow's own pages."""
