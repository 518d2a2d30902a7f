package object

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
)

// cell scans one column into one field.
type cell struct {
	field   reflect.Value
	json    bool
	lenient bool // what cannot be read leaves the field empty
	spoilt  bool // it has done so
}

// Scan implements sql.Scanner.
func (c *cell) Scan(src any) error {
	err := c.set(src)
	if err != nil && c.lenient {
		c.field.SetZero()
		c.spoilt, err = true, nil
	}
	return err
}

func (c *cell) set(src any) error {
	switch v := src.(type) {
	case nil:
		c.field.SetZero()
		return nil
	case string:
		return c.setText(v)
	case []byte:
		return c.setText(string(v))
	case int64:
		if c.json {
			return c.setText(strconv.FormatInt(v, 10))
		}
		return c.setInt(v)
	case float64:
		if c.json {
			return c.setText(strconv.FormatFloat(v, 'g', -1, 64))
		}
		return c.setFloat(v)
	case bool:
		return c.setInt(map[bool]int64{true: 1}[v])
	default:
		return fmt.Errorf("column of type %T", src)
	}
}

func (c *cell) setText(s string) error {
	if c.json {
		if s == "" {
			return nil
		}
		return json.Unmarshal([]byte(s), c.field.Addr().Interface())
	}
	switch c.field.Kind() {
	case reflect.String:
		c.field.SetString(s)
	case reflect.Slice:
		c.field.SetBytes([]byte(s))
	case reflect.Float64:
		f, err := strconv.ParseFloat(s, 64)
		c.field.SetFloat(f)
		return err
	case reflect.Bool:
		if b, err := strconv.ParseBool(s); err == nil { // SQLite keeps 'true' as a text
			c.field.SetBool(b)
			return nil
		}
		fallthrough
	default:
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return err
		}
		return c.setInt(n)
	}
	return nil
}

func (c *cell) setInt(n int64) error {
	switch c.field.Kind() {
	case reflect.Bool:
		c.field.SetBool(n != 0)
	case reflect.Float64:
		c.field.SetFloat(float64(n))
	case reflect.String:
		c.field.SetString(strconv.FormatInt(n, 10))
	case reflect.Slice:
		c.field.SetBytes(strconv.AppendInt(nil, n, 10))
	default:
		c.field.SetInt(n)
	}
	return nil
}

func (c *cell) setFloat(f float64) error {
	if c.field.Kind() == reflect.Float64 {
		c.field.SetFloat(f)
		return nil
	}
	return c.setInt(int64(f))
}

var _ sql.Scanner = (*cell)(nil)
