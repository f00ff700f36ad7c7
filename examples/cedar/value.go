package cedar

import (
	"encoding/json"
	"errors"
	"fmt"

	engine "github.com/cedar-policy/cedar-go"
)

// record turns JSON members into a Cedar record.
func record(members map[string]any) (engine.Record, error) {
	fields := make(engine.RecordMap, len(members))
	for name, member := range members {
		v, err := value(member)
		if err != nil {
			return engine.Record{}, fmt.Errorf("cedar: a member of the arguments: %w", err)
		}
		if v != nil {
			fields[engine.String(name)] = v
		}
	}
	return engine.NewRecord(fields), nil
}

// value turns a decoded JSON value into one of Cedar's. Cedar has no null, so null is nil, as if it were
// not there, and no fractions: what Cedar cannot hold is an error, so that nothing is decided about
// another number than the tool gets.
func value(v any) (engine.Value, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		return engine.String(v), nil
	case bool:
		return engine.Boolean(v), nil
	case json.Number:
		n, err := v.Int64()
		if err != nil {
			return nil, errors.New("there are no numbers in Cedar but 64-bit integers")
		}
		return engine.Long(n), nil
	case []any:
		elements := make([]engine.Value, 0, len(v))
		for _, element := range v {
			e, err := value(element)
			if err != nil {
				return nil, err
			}
			if e == nil {
				return nil, errors.New("there is no null in a set of Cedar")
			}
			elements = append(elements, e)
		}
		return engine.NewSet(elements...), nil
	case map[string]any:
		return record(v)
	}
	return nil, fmt.Errorf("a %T is no JSON value", v)
}
