"""What a rule says, and everything that is told of it: to its author, to editors, in the Airflow UI."""
