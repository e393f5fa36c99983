-- The types of the workload: 20 rules that its event obeys, and two checks.
SELECT es_register_event_type('Placed', json_schema => '{
  "type": "object",
  "required": ["order_id", "customer", "total", "lines"],
  "additionalProperties": false,
  "properties": {
    "order_id": {"type": "string", "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"},
    "customer": {"type": "string", "maxLength": 40},
    "currency": {"enum": ["EUR", "USD", "GBP"]},
    "total": {"type": "number", "minimum": 0},
    "channel": {"type": "string"},
    "note": {"type": "string", "maxLength": 1000},
    "lines": {"type": "array", "minItems": 1, "items": {
      "type": "object", "required": ["sku", "qty", "price"],
      "properties": {"qty": {"type": "integer", "minimum": 1}}}},
    "shipping": {"type": "object"},
    "billing": {"type": "object"},
    "tags": true}}');
SELECT es_register_event_type('Checked', check_expression => $$ (data->>'total')::numeric > 0 AND data->>'currency' IN ('EUR', 'USD', 'GBP') AND jsonb_array_length(data->'lines') > 0 $$);
CREATE OR REPLACE FUNCTION is_order(data jsonb) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (data->>'total')::numeric > 0 AND data->>'currency' IN ('EUR', 'USD', 'GBP') AND jsonb_array_length(data->'lines') > 0;
END $$;
SELECT es_register_event_type('CheckedByFunction', check_expression => 'is_order');
SELECT es_register_event_type('Known');
