package object

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// profileField is a field of the account that its user may change: how Casdoor spells it, and what may stand in it.
type profileField struct {
	json   string
	column string
	item   string                       // the organization's account item with the modify rule
	clean  func(string) (string, error) // nil: any text of one line that fits the column
}

// profileFields is the whole of what users may change of themselves. Address is a list of lines, all others are
// texts.
func profileFields() []profileField {
	return []profileField{
		{"displayName", "display_name", "Display name", cleanDisplayName},
		{"avatar", "avatar", "Avatar", cleanAvatar},
		{"firstName", "first_name", "First name", nil},
		{"lastName", "last_name", "Last name", nil},
		{"gender", "gender", "Gender", nil},
		{"birthday", "birthday", "Birthday", nil},
		{"region", "region", "Country/Region", nil},
		{"location", "location", "Location", nil},
		{"language", "language", "Language", nil},
		{"bio", "bio", "Bio", cleanBio},
		{"homepage", "homepage", "Homepage", cleanHomepage},
		{"title", "title", "Title", nil},
		{"affiliation", "affiliation", "Affiliation", nil},
		{"education", "education", "Education", nil},
		{"address", "address", "Address", nil},
		{"email", "email", "Email", cleanEmail},
		{"password", "password", "Password", cleanPassword},
	}
}

// takes reports whether a JSON value is of the field's kind; null is of every kind.
func (f profileField) takes(raw json.RawMessage) bool {
	var value any = new(string)
	if f.json == "address" {
		value = new([]string)
	}
	return json.Unmarshal(orNull(raw), value) == nil
}

// profileRules says what the users of one organization may change of themselves.
type profileRules struct {
	fields []profileField
	items  []*sdk.AccountItem
	sent   map[string]string // what the request calls fields, by their JSON names, where it is something else
}

func (s *Service) profileRules(org *sdk.Organization) profileRules {
	return profileRules{fields: s.profileFields, items: org.AccountItems}
}

// named returns the name of a field in the words of the one who has sent it.
func (r profileRules) named(field string) string { return cmp.Or(r.sent[field], field) }

// field returns the rule of a JSON name, without regard to case: encoding/json has none either.
func (r profileRules) field(name string) (profileField, bool) {
	i := slices.IndexFunc(r.fields, func(f profileField) bool { return strings.EqualFold(f.json, name) })
	if i < 0 {
		return profileField{}, false
	}
	return r.fields[i], true
}

// allow reports, as a *Refusal, a field or value that the organization's account items forbid.
func (r profileRules) allow(name, value string) error {
	field, ok := r.field(name)
	if !ok {
		return refuse(AccessDenied, "%s cannot be changed by the user", name)
	}
	return r.allowField(field, value)
}

// allowField is allow for a field whose name is known.
func (r profileRules) allowField(field profileField, value string) error {
	i := slices.IndexFunc(r.items, func(item *sdk.AccountItem) bool { return item != nil && item.Name == field.item })
	if i < 0 {
		return nil
	}
	item := r.items[i]
	if item.ModifyRule == "Admin" || item.ModifyRule == "Immutable" {
		return refuse(AccessDenied, "%s cannot be changed by the user (modify rule %s)", r.named(field.json), item.ModifyRule)
	}
	if item.Regex != "" && value != "" {
		if pattern, err := regexp.Compile(item.Regex); err == nil && !pattern.MatchString(value) {
			return refuse(InvalidRequest, "%s does not have the form that the organization asks for", r.named(field.json))
		}
	}
	return nil
}

// Change is a new value for one field of the account, by its JSON name.
type Change struct {
	Field string
	Value string
	Sent  string // what the request calls the field; empty: Field
}

// UpdateProfile applies changes to the user's own account, all of them or none, and reports whether any of them
// changed something. What the user may not change, or a value that is not fit, is a *Refusal that names the field. A
// platform's placeholder for nickname or avatar changes nothing, nor does a picture that is not there any more.
func (s *Service) UpdateProfile(ctx context.Context, p *Principal, changes []Change) (bool, error) {
	fields, sent := map[string]json.RawMessage{}, map[string]string{}
	for _, c := range changes {
		text, err := json.Marshal(c.Value)
		if err != nil {
			return false, err
		}
		fields[c.Field], sent[c.Field] = text, c.Sent
	}
	return s.updateAccount(ctx, p, fields, nil, sent)
}

// UpdateAccount is Casdoor's update-user of one's own account. Fields are the account's JSON fields; those that are
// as they are, and the times that the server keeps, may be sent along. Columns, in camelCase or snake_case, name the
// fields to look at; none means all.
func (s *Service) UpdateAccount(
	ctx context.Context, p *Principal, fields map[string]json.RawMessage, columns []string,
) (bool, error) {
	return s.updateAccount(ctx, p, fields, columns, nil)
}

// updateAccount is UpdateAccount for a request that has names of its own: see profileRules.sent.
func (s *Service) updateAccount(
	ctx context.Context, p *Principal, fields map[string]json.RawMessage, columns []string, sent map[string]string,
) (bool, error) {
	org, err := s.settings.organization(ctx, p.User.Owner)
	if err != nil {
		return false, err
	}
	update := profileUpdate{rules: s.profileRules(org), user: *p.User}
	update.rules.sent = sent
	changed, err := s.changedFields(&update, fields, columns)
	if err != nil {
		return false, err
	}
	for _, name := range changed {
		if err := s.plan(ctx, &update, name, fields[name]); err != nil {
			return false, err
		}
	}
	if len(update.columns) == 0 {
		return false, nil
	}
	marked, err := s.judgeUpdate(ctx, p, &update)
	if err != nil {
		return false, err
	}
	next := update.finish(p, s.stamp(), marked)
	if err := s.directory.update(ctx, next, update.columns); err != nil {
		return false, err
	}
	*p.User = update.user
	if slices.Contains(update.columns, "avatar") {
		s.tidy(ctx, p.User.Id)
	}
	return true, nil
}

// profileUpdate is an update that is being put together.
type profileUpdate struct {
	rules   profileRules
	user    sdk.User
	columns []string
}

// finish adds the time to an update that changes something, and returns the principal as directory.update wants them.
func (u *profileUpdate) finish(p *Principal, stamp string, marked []Mark) *Principal {
	if len(u.columns) > 0 {
		u.user.UpdatedTime = stamp
		u.columns = append(u.columns, "updated_time")
	}
	return &Principal{User: &u.user, ClientIP: p.ClientIP, marked: marked}
}

// plan checks one changed field and adds it to the update.
func (s *Service) plan(ctx context.Context, u *profileUpdate, name string, raw json.RawMessage) error {
	field, ok := u.rules.field(name)
	if !ok {
		return refuse(AccessDenied, "%s cannot be changed by the user", name)
	}
	if slices.Contains(u.columns, field.column) { // in another case
		return refuse(InvalidRequest, "%s is there more than once", u.rules.named(field.json))
	}
	if field.json == "address" {
		return u.planAddress(field, raw)
	}
	var value string
	if err := json.Unmarshal(raw, &value); err != nil {
		return refuse(InvalidRequest, "%s must be a text", u.rules.named(field.json))
	}
	if field.json == "displayName" && s.registry.IsPlaceholderNickname(strings.TrimSpace(value)) ||
		field.json == "avatar" && s.registry.IsPlaceholderAvatar(value) {
		return nil
	}
	clean := field.clean
	if clean == nil {
		clean = cleanText
	}
	value, err := clean(value)
	if err != nil {
		return refuse(InvalidRequest, "%s %s", u.rules.named(field.json), err)
	}
	if field.json == avatarField {
		if former, err := s.isFormer(ctx, value); former || err != nil {
			return err
		}
	}
	if err := u.rules.allowField(field, value); err != nil {
		return err
	}
	return s.set(ctx, u, field, value)
}

func (u *profileUpdate) planAddress(field profileField, raw json.RawMessage) error {
	var lines []string
	if err := json.Unmarshal(raw, &lines); err != nil || len(lines) > 10 {
		return refuse(InvalidRequest, "address must be a list of at most 10 texts")
	}
	for i, line := range lines {
		var err error
		if lines[i], err = cleanText(line); err != nil {
			return refuse(InvalidRequest, "address %s", err)
		}
	}
	if err := u.rules.allowField(field, strings.Join(lines, "\n")); err != nil {
		return err
	}
	u.user.Address = lines
	u.columns = append(u.columns, field.column)
	return nil
}

func (s *Service) set(ctx context.Context, u *profileUpdate, field profileField, value string) error {
	switch field.json {
	case "email":
		u.user.EmailVerified = false
		u.columns = append(u.columns, "email_verified")
	case "password":
		if u.user.Password != "" { // an access token that got into other hands must not become a password
			return refuse(AccessDenied, "a password that is set is changed by set-password, with the old one")
		}
		if s.tables == nil && u.user.Id != remoteID(u.user.Owner, u.user.Name) { // see madeByMiniProgram
			return refuse(AccessDenied, "password cannot be set: this user could not sign in by the mini program any more")
		}
		hash, err := s.hash(ctx, u.user.Id, value)
		if err != nil {
			return err
		}
		value = hash
		u.user.PasswordType, u.user.PasswordSalt = passwordType, ""
		u.columns = append(u.columns, "password_type", "password_salt")
	}
	index := s.accountFields[strings.ToLower(field.json)]
	reflect.ValueOf(&u.user).Elem().FieldByIndex(index).SetString(value)
	u.columns = append(u.columns, field.column)
	return nil
}

// changedFields returns the names of the fields that differ from the account as its user reads it, in a fixed order.
// One that plan will refuse for its kind is among them: false is no text, not even an empty one.
func (s *Service) changedFields(u *profileUpdate, fields map[string]json.RawMessage, columns []string) ([]string, error) {
	account := reflect.ValueOf(publicUser(&u.user)).Elem()
	var changed []string
	for name, value := range fields {
		if len(columns) > 0 && !slices.ContainsFunc(columns, func(c string) bool { return sameName(c, name) }) {
			continue
		}
		if strings.EqualFold(name, "password") && isMask(value) || isServerKept(name) {
			continue
		}
		var current json.RawMessage // null for a field that the account does not have
		if index, ok := s.accountFields[strings.ToLower(name)]; ok {
			text, err := json.Marshal(account.FieldByIndex(index).Interface())
			if err != nil {
				return nil, err
			}
			current = text
		}
		field, known := u.rules.field(name)
		if !sameValue(value, current) || known && !field.takes(value) {
			changed = append(changed, name)
		}
	}
	slices.Sort(changed)
	return changed, nil
}

// accountFields maps the JSON names of a user, in lower case, to its fields.
func accountFields() map[string][]int {
	fields := map[string][]int{}
	for field := range reflect.TypeFor[sdk.User]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		fields[strings.ToLower(name)] = field.Index
	}
	return fields
}

// isServerKept is true for what the server itself changes: whoever sends an account back may have read it before.
func isServerKept(name string) bool {
	switch strings.ToLower(name) {
	case "updatedtime", "lastsignintime", "lastsigninip":
		return true
	}
	return false
}

// sameName compares a column with a JSON name: "displayName", "display_name" and "displayname" are one.
func sameName(column, name string) bool {
	return strings.EqualFold(strings.ReplaceAll(column, "_", ""), strings.ReplaceAll(name, "_", ""))
}

// isMask is true for what stands for the password that is set.
func isMask(value json.RawMessage) bool {
	var text *string
	return json.Unmarshal(value, &text) == nil && (text == nil || *text == "" || *text == mask)
}

// sameValue compares JSON values. Nothing, null and the empty values are one: SDKs turn them into each other.
func sameValue(a, b json.RawMessage) bool {
	var x, y any
	if json.Unmarshal(orNull(a), &x) != nil || json.Unmarshal(orNull(b), &y) != nil {
		return false
	}
	return isEmpty(x) && isEmpty(y) || reflect.DeepEqual(x, y)
}

func orNull(raw json.RawMessage) json.RawMessage {
	if len(bytes.TrimSpace(raw)) == 0 {
		return json.RawMessage("null")
	}
	return raw
}

func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case bool:
		return !v
	case float64:
		return v == 0
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}
