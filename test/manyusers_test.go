package test

import (
	"flag"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/harness"
)

// manyUsers is 500000 for the figures that the README gives. With fewer the test is about what the lists hold.
var manyUsers = flag.Int("users", 3000, "how many users TestManyUsers lists, searches and pages through")

// listPatience is what each list may take.
const listPatience = 50 * time.Millisecond

// fillUsers copies a user who has signed in to users 1 to n: every third without a nickname, half of them with a phone,
// all of them with an identity.
func fillUsers(t *testing.T, s *harness.Server, n int) {
	t.Helper()
	s.SignIn(t, "oFirst")
	s.Exec(t, "CREATE TABLE numbers AS WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM r WHERE n<?) SELECT n FROM r",
		n)
	columns := strings.Split(s.Value(t, "SELECT group_concat(name) FROM pragma_table_info('user')"), ",")
	const scattered = "(n*2654435761)&4294967295"
	values := slices.Clone(columns)
	for i, column := range columns {
		columns[i] = "`" + column + "`"
		values[i] = columns[i]
		switch column {
		case "name":
			values[i] = "printf('wechat-o%08x%018d', " + scattered + ", n)"
		case "id":
			values[i] = "printf('%08x-0000-4000-8000-%012d', " + scattered + ", n)"
		case "created_time":
			values[i] = "strftime('%Y-%m-%dT%H:%M:%SZ', 1600000000+n*60, 'unixepoch')"
		case "display_name":
			values[i] = "CASE WHEN n%3=0 THEN '' ELSE substr('赵钱孙李周吴郑王', n%8+1, 1)||substr('明丽强芳伟娜军敏', (n/8)%8+1, 1)||n END"
		case "phone":
			values[i] = "CASE WHEN n%2=0 THEN printf('13%09d', n) ELSE '' END"
		}
	}
	s.Exec(t, "INSERT INTO user("+strings.Join(columns, ",")+") SELECT "+strings.Join(values, ",")+
		" FROM numbers, user WHERE user.owner='shop' AND user.name='wechat-oFirst'")
	s.Exec(t, "INSERT INTO mini_program_identity (organization, app_id, open_id, user_id, union_id, created_time, updated_time) "+
		"SELECT 'shop', ?, printf('o%08x%018d', "+scattered+", n), printf('%08x-0000-4000-8000-%012d', "+scattered+
		", n), '', '', '' FROM numbers", harness.AppID)
}

func TestManyUsers(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Now: func() time.Time { return time.Unix(1500000000, 0) }})
	n := *manyUsers
	fillUsers(t, s, n)
	total := n + 2
	name := func(i int) string { return fmt.Sprintf("wechat-o%08x%018d", uint32(i)*2654435761, i) }
	nick := func(i int) string {
		return string([]rune("赵钱孙李周吴郑王")[i%8]) + string([]rune("明丽强芳伟娜军敏")[i/8%8]) + fmt.Sprint(i)
	}
	pages := (total + 9) / 10
	at := func(page int) string { return name(n + 1 - (page-1)*10) } // the admin is newest, and then user n
	one := n / 2 / 6 * 6                                             // an even number that three divides not, behind the next line
	one += 2
	for title, c := range map[string]struct {
		query string
		total int
		first string // name of the first row
	}{
		"first page":  {"p=1&pageSize=10", total, harness.AdminName},
		"middle page": {fmt.Sprintf("p=%d&pageSize=10", pages/2), total, at(pages / 2)},
		"last page":   {fmt.Sprintf("p=%d&pageSize=10", pages), total, at(pages)},
		"behind it":   {fmt.Sprintf("p=%d&pageSize=10", pages+1), total, ""},
		"by name":     {"p=1&pageSize=10&field=name&value=" + name(one), 1, name(one)},
		"by OpenID":   {"p=1&pageSize=10&field=wechat&value=" + name(one)[7:], 1, name(one)},
		"OpenID name": {"p=1&pageSize=10&field=name&value=" + name(one)[7:], 1, name(one)},
		"by phone":    {"p=1&pageSize=10&field=phone&value=" + fmt.Sprintf("13%09d", one), 1, name(one)},
		"by nickname": {"p=1&pageSize=10&field=displayName&value=" + url.QueryEscape(nick(one)), -1, ""},
		"frequent":    {"p=1&pageSize=10&field=displayName&value=" + url.QueryEscape("赵"), -1, ""},
		"unknown":     {"p=1&pageSize=10&field=displayName&value=nobody", 0, ""},
		"no OpenID":   {"p=1&pageSize=10&field=wechat&value=oNobody", 0, ""},
		"sorted":      {"p=1&pageSize=10&sortField=name&sortOrder=ascend", total, harness.AdminName},
		"many a page": {"p=1&pageSize=100", total, harness.AdminName},
	} {
		t.Run(title, func(t *testing.T) {
			var times []time.Duration
			for range 5 {
				start := time.Now()
				reply := s.Call(t, "GET", "/api/get-users?owner=shop&"+c.query+"&clientId="+harness.ClientID+
					"&clientSecret="+harness.ClientSecret, "", nil)
				times = append(times, time.Since(start))
				var answer struct {
					Status string
					Data   []struct{ Name string }
					Data2  int
				}
				reply.JSON(t, &answer)
				require.Equal(t, "ok", answer.Status, reply.Body)
				if c.total >= 0 {
					assert.Equal(t, c.total, answer.Data2)
				}
				if c.first != "" {
					require.NotEmpty(t, answer.Data)
					assert.Equal(t, c.first, answer.Data[0].Name)
				}
			}
			slices.Sort(times)
			t.Logf("%v", times[len(times)/2])
			if n >= 500_000 {
				assert.Less(t, times[len(times)/2], listPatience)
			}
		})
	}
	t.Run("by keyset", func(t *testing.T) { readByKeyset(t, s, total) })
	t.Run("console", func(t *testing.T) { readConsole(t, s, name(one), nick(one), fmt.Sprintf("13%09d", one)) })
}

// readConsole looks a user up in the console, and reads on from its first page.
func readConsole(t *testing.T, s *harness.Server, name, nick, phone string) {
	a := signInGlobal(t, s)
	read := func(path, want string) string {
		t.Helper()
		var body string
		times := make([]time.Duration, 5)
		for i := range times {
			start := time.Now()
			body = a.get(path)
			times[i] = time.Since(start)
		}
		assert.Contains(t, body, want, path)
		slices.Sort(times)
		t.Logf("%v %s", times[len(times)/2], path)
		if *manyUsers >= 500_000 {
			assert.Less(t, times[len(times)/2], listPatience, path)
		}
		return body
	}
	for by, value := range map[string]string{
		"name": name, "wechat": strings.TrimPrefix(name, "wechat-"), "phone": phone, "displayName": nick,
	} {
		read("/console/users?organization=shop&by="+by+"&value="+url.QueryEscape(value), name)
	}
	read("/console/users/view?id=shop/"+name, nick)
	for _, path := range []string{"/console/users", "/console/users?organization=shop"} {
		page := read(path, harness.AdminName)
		next := regexp.MustCompile(`href="(/console/users\?[^"]*after=[^"]*)"`).FindStringSubmatch(page)
		require.NotNil(t, next, path)
		read(html.UnescapeString(next[1]), "wechat-o")
	}
}

// readByKeyset reads the first pages as the console does, and checks that no user comes twice.
func readByKeyset(t *testing.T, s *harness.Server, total int) {
	caller := &object.Caller{Role: object.Admin, Organization: harness.Organization}
	q, seen, last := object.ListQuery{Owner: harness.Organization, PageSize: 50}, map[string]bool{}, "~"
	for range 20 {
		start := time.Now()
		page, err := s.Service.Users().List(t.Context(), caller, q)
		require.NoError(t, err)
		if total > 500_000 {
			assert.Less(t, time.Since(start), listPatience)
		}
		if q.After == "" {
			assert.Equal(t, total, page.Total)
		}
		require.Len(t, page.Rows, 50)
		for _, user := range page.Rows {
			assert.False(t, seen[user.Name], user.Name)
			seen[user.Name] = true
			assert.LessOrEqual(t, user.CreatedTime, last)
			last = user.CreatedTime
		}
		require.NotEmpty(t, page.Next)
		q.After = page.Next
	}
}
