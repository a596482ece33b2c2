"""State folders that outlive the machine: in S3, or in a service that speaks its protocol."""
