"""What a person sees and starts in Prefect."""
