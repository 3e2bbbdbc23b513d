"""What several sources of queries share: statements with their headers, parameters, files, Go constants."""
