"""What data must look like: Great Expectations suites as code."""
