"""Templates, messages and the policy every send is held to."""
