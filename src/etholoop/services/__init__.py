"""Programs with their own state: DVC, Git, MLflow."""
