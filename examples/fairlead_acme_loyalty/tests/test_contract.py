from twin import card_account, members, shoppers

from fairlead.plugins import Kind
from fairlead.testing import contract_tests

TestAcmeLoyalty = contract_tests(
    "acme_loyalty",
    harness={Kind.CHANNEL: card_account, Kind.JOURNEY_NODE: members, Kind.RULE_OPERATOR: shoppers},
)
