"""What a service says of itself in $metadata, and what the hub makes of it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from connectors.base import BadAnswer, FieldType, SettingsError
from connectors.odata import ODataConnector, ODataSettings
from tests.connectors.odata_service import V2, V4, ODataService
from tests.connectors.shop import fails

T = FieldType


def entity(connector, name="Customers"):
    return next(e for e in connector.discover() if e.name == name)


def test_types_become_the_hubs_and_complex_ones_are_flattened(service: ODataService, odata):
    found = entity(odata())

    assert [(f.name, f.type, f.required, f.read_only) for f in found.fields] == [
        ("ID", T.INTEGER, False, True),
        ("Name", T.TEXT, True, False),
        ("Email", T.TEXT, False, False),
        ("Amount", T.NUMBER, False, False),
        ("Price", T.DECIMAL, False, False),
        ("Big", T.INTEGER, False, False),
        ("Active", T.BOOLEAN, False, False),
        ("Born", T.DATE, False, False),
        ("ModifiedAt", T.DATETIME, False, True),
        ("Color", T.TEXT, False, False),
        ("Ref", T.TEXT, False, False),
        ("Address.City", T.TEXT, False, False),
        ("Address.Zip", T.TEXT, False, False),
        ("Tags", T.JSON, False, False),
    ]
    assert (found.key, found.cursor_field) == (("ID",), "ModifiedAt")
    assert found.field("Name").max_length == 100
    assert found.field("Color").choices == ("Red", "Blue")


def test_a_key_of_several_parts_and_the_scale_of_a_decimal_are_told(service: ODataService, odata):
    found = entity(odata(), "Items")

    assert (found.key, found.field("Quantity").scale, found.cursor_field) == (("Order", "Code"), 3, None)


def test_version_2_is_described_with_its_labels_and_only_read(service: ODataService, odata):
    found = entity(odata("v2"))

    assert (found.label, found.field("ID").label, found.cursor_field) == ("Customers", "Number", "ModifiedAt")
    assert [(found.field(n).type, found.field(n).read_only) for n in ("Born", "ModifiedAt", "Ref")] == [
        (T.DATE, True),
        (T.DATETIME, True),
        (T.TEXT, True),
    ]
    can = found.capabilities
    assert (can.create, can.update, can.delete, can.count, can.incremental) == (False, False, False, True, True)
    assert "Color" not in can.lookup_by


@pytest.mark.parametrize("said", ["1.0", "", "2.0"])
def test_a_description_that_asks_for_no_more_than_version_1_is_of_a_service_of_version_2(service: ODataService, odata, said):
    service.has(3)
    service.metadata = V2.format(version=said, more="")
    connector = odata("v2")

    found = entity(connector)
    [page] = connector.read(found)

    assert (found.capabilities.create, page.frame["ID"].to_list()) == (False, [1, 2, 3])


def restricted(target: str, **records: str) -> str:
    terms = "".join(f'<Annotation Term="Capabilities.{term}"><Record>{values}</Record></Annotation>' for term, values in records.items())
    return f'<Annotations Target="{target}">{terms}</Annotations>'


def no(name: str) -> str:
    return f'<PropertyValue Property="{name}" Bool="false"/>'


def properties(name: str, *paths: str) -> str:
    return f'<PropertyValue Property="{name}"><Collection>{"".join(f"<PropertyPath>{p}</PropertyPath>" for p in paths)}</Collection></PropertyValue>'


@pytest.mark.parametrize(
    ("annotated", "lacks"),
    [
        (restricted("Self.Container/Customers", InsertRestrictions=no("Insertable")), {"create"}),
        (restricted("Shop.Container/Customers", UpdateRestrictions=no("Updatable")), {"update"}),
        (restricted("Shop.Container/Customers", DeleteRestrictions=no("Deletable")), {"delete"}),
        (restricted("Shop.Container/Customers", CountRestrictions=no("Countable")), {"count"}),
        (restricted("Shop.Container/Customers", FilterRestrictions=no("Filterable")), {"incremental", "upper_bound", "lookup_by"}),
        (restricted("Shop.Container/Parts", InsertRestrictions=no("Insertable")), set()),
    ],
)
def test_what_the_service_restricts_is_not_declared(service: ODataService, odata, annotated, lacks):
    everything = {"create", "update", "delete", "count", "incremental", "upper_bound", "lookup_by_key", "lookup_by"}
    service.more = annotated

    can = entity(odata()).capabilities

    assert {name for name in everything if not getattr(can, name)} == lacks


def test_properties_that_may_not_be_filtered_or_sent_are_told(service: ODataService, odata):
    service.more = (
        restricted(
            "Shop.Container/Customers",
            FilterRestrictions=properties("NonFilterableProperties", "Email", "Address/Zip"),
            InsertRestrictions=properties("NonInsertableProperties", "Big"),
        )
        + '<Annotations Target="Shop.Customer/Ref"><Annotation Term="Core.Immutable" Bool="true"/></Annotations>'
    )

    found = entity(odata())

    assert {"Email", "Address.Zip"}.isdisjoint(found.capabilities.lookup_by)
    assert {"Name", "Address.City"} <= set(found.capabilities.lookup_by)
    assert [found.field(n).read_only for n in ("Big", "Ref", "Email")] == [True, True, False]


def test_an_entity_set_that_cannot_be_read_or_has_no_key_is_left_out(service: ODataService, odata):
    service.metadata = V4.format(version="4.0", more=restricted("Shop.Container/Items", ReadRestrictions=no("Readable"))).replace(
        '<Key><PropertyRef Name="Code"/></Key>', ""
    )

    assert [e.name for e in odata().discover()] == ["Customers"]


def test_an_alias_may_be_declared_behind_its_use(service: ODataService, odata):
    service.metadata = V4.format(version="4.0", more="").replace("Shop.Item", "Later.Item").replace(
        "</Schema>", '</Schema><Schema Namespace="Much.Later" Alias="Later"><EntityType Name="Item"><Key><PropertyRef Name="No"/></Key>'
        '<Property Name="No" Type="Edm.Guid" Nullable="false"/></EntityType></Schema>'
    )  # fmt: skip

    assert [f.name for f in entity(odata(), "Items").fields] == ["No"]


@pytest.mark.parametrize(
    ("type_", "found"),
    [
        ("Edm.Money", T.JSON),
        ("Other.Thing", T.JSON),
        ("Edm.GeographyPoint", T.JSON),
        ("Self.Tree", T.JSON),
        ("Edm.Duration", T.TEXT),
        ("Edm.TimeOfDay", T.TIME),
        ("Edm.Binary", T.BINARY),
    ],
)
def test_what_is_not_known_or_endless_is_json(service: ODataService, odata, type_, found):
    service.metadata = V4.format(version="4.0", more='<ComplexType Name="Tree"><Property Name="Below" Type="Self.Tree"/></ComplexType>').replace(
        '<Property Name="Email" Type="Edm.String"/>', f'<Property Name="Email" Type="{type_}"/>'
    )

    assert next(f.type for f in entity(odata()).fields if f.name.startswith("Email")) == found


LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "' + "&a;" * 10 + '">]>'


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        ("<html><body>Sign in</body></html>", BadAnswer, "ERP answered GET /v4/$metadata with something that is no description of an OData service"),
        ("<html><br></html>", BadAnswer, "is no description of an OData service"),
        ("", BadAnswer, "is no description"),
        ('{"value": []}', BadAnswer, "is no description"),
        (V4.format(version="4.0", more="")[:900], BadAnswer, "is no description"),
        ("<a>" * 200_000, BadAnswer, "is no description"),
        (LAUGHS + "<x>&b;</x>", BadAnswer, "declares a document type or entities"),
        ('<!DOCTYPE x SYSTEM "http://127.0.0.1/evil.dtd"><x/>', BadAnswer, "declares a document type or entities"),
        ('<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>', BadAnswer, "declares a document type or entities"),
        (V2.format(version="3.0", more=""), SettingsError, "ERP speaks OData 3.0; the hub speaks 4 and reads 2"),
        (V4.format(version="5.0", more=""), SettingsError, "ERP speaks OData 5.0"),
        (" " * 70_000, BadAnswer, "more than 65536 bytes"),
    ],
)  # fmt: skip
def test_a_description_that_is_none_is_one_clear_sentence(service: ODataService, odata, answer, error, said):
    service.metadata = answer or "\n"
    service.answers["$metadata"] = (200, {"Content-Type": "application/xml"}, answer.encode())

    with pytest.raises(error) as caught:
        odata(answers={"max_bytes": 65_536 if answer.startswith(" ") else 2**24}).discover()

    assert said in str(caught.value)


def test_a_failure_says_why(service: ODataService, odata):
    service.faults.append(fails(403, {"error": {"code": "S/403", "message": {"lang": "en", "value": "no authorisation"}}}))

    with pytest.raises(SettingsError, match=r"does not accept our credentials for GET /v2/\$metadata: \[S/403\] no authorisation"):
        odata("v2").discover()


@pytest.mark.parametrize("said", [{"key": ["Nothing"]}, {"cursor_field": "Nothing"}])
def test_a_setting_that_names_no_property_is_told(service: ODataService, odata, said):
    with pytest.raises(SettingsError, match=r"Customers of ERP has no property Nothing\. Correct it under Entities"):
        odata(entities=[{"name": "Customers", **said}]).discover()


def test_settings_choose_cursor_and_key(service: ODataService, odata):
    found = entity(odata(entities=[{"name": "Customers", "label": "Clients", "key": ["Email"], "cursor_field": "Big"}]))

    assert (found.label, found.key, found.cursor_field) == ("Clients", ("Email",), "Big")
    assert (found.capabilities.create, found.capabilities.update, found.capabilities.delete) == (True, False, False)
    assert entity(odata(entities=[{"name": "Customers", "incremental": False}])).cursor_field is None


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"base_url": "erp.example.com"}, "The address must begin with https://"),
        ({"base_url": "https://erp.example.com/sales?sap-client=100"}, "must not hold a"),
        ({"zone": "Vienna"}, "There is no such time zone"),
        ({"entities": [{"name": "A"}, {"name": "A"}]}, "The entity {entity} is declared twice"),
        ({"batches": {"format": "xml"}}, "Input should be"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, said):
    with pytest.raises(ValidationError, match=said):
        ODataSettings.model_validate({"base_url": "https://erp.example.com", **settings})


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, []),
        (
            {"lists": {"paging": "skip"}},
            ["Pages are skipped to: a record that is created or deleted while a list is read moves others, which that run then misses."],
        ),
        (
            {"entities": [{"name": "A", "key": ["No"]}, {"name": "B"}]},
            ["A: Under a key that is not its own, records are read and created, but neither changed nor deleted."],
        ),
    ],
)
def test_settings_that_may_give_trouble_are_told(settings, told):
    assert [str(t) for t in ODataConnector.advice(ODataSettings.model_validate({"base_url": "https://erp.example.com", **settings}))] == told


def test_a_check_is_told_an_address_that_is_no_service(service: ODataService, odata):
    service.answers[""] = (200, {"Content-Type": "application/json"}, b'{"hello": "world"}')

    with pytest.raises(BadAnswer, match=r"not with the list of an OData service\. Enter the address that \$metadata stands behind"):
        odata().check()


def test_the_description_is_asked_for_once_by_many_connectors_to_one_service(service: ODataService, odata):
    service.has(1)
    found = entity(odata())
    with odata() as first:
        assert first.count(found) == 1
    asked = service.targets("GET").count("/v4/$metadata")
    second = type(first)(first.settings, first.host)

    assert second.count(found) == 1

    second.close()
    assert service.targets("GET").count("/v4/$metadata") == asked


def test_fields_stay_as_they_were_accepted(service: ODataService, odata):
    service.put("Items", {"Order": 1, "Code": "a", "Quantity": "1.5"})
    found = entity(odata(), "Items")
    service.metadata = V4.format(version="4.0", more="").replace('Precision="12" Scale="3"', 'Precision="12" Scale="1"')
    connector = odata()

    assert dict(next(connector.read(found)).frame.schema) == found.frame_schema()
    assert dict(connector.lookup(found, "#key", ['["1","a"]']).schema) == found.frame_schema()


def test_an_entity_set_or_property_that_is_gone_is_told(service: ODataService, odata):
    found = entity(odata())
    service.metadata = V4.format(version="4.0", more="").replace('<Property Name="Email" Type="Edm.String"/>', "")

    with pytest.raises(SettingsError, match="no longer has the field Email as it was accepted"):
        list(odata().read(found))
    with pytest.raises(SettingsError, match="ERP has no entity set Orders"):
        list(odata().read(found.model_copy(update={"name": "Orders"})))
