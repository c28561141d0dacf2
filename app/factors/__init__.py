"""Second factors: enrollment, codes, recovery codes, challenges and step-up."""
