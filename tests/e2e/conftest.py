# SPDX-License-Identifier: Apache-2.0
import pytest

from lib.instance import Instance


@pytest.fixture(scope="module")
def production():
    with Instance() as instance:
        instance.put("acme-sap", {"access_token": "tok-acme-sap-1", "expires_in": 4102444800, "token_type": "Bearer"})
        instance.put("acme-crm", b"tok-acme-crm\n")
        instance.put("acme-payroll", b"tok-payroll")
        instance.put("globex-erp", b"tok-globex")
        yield instance.start()
