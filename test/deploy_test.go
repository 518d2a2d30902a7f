package test

import (
	"cmp"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/minidoor/minidoor/conf"
	"github.com/minidoor/minidoor/test/harness"
)

const deployFolder = "../examples/deploy"

// deployPort is where minidoor listens in all examples, and where their proxies look for it.
const deployPort = 8000

func readDeploy(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deployFolder, name))
	require.NoError(t, err)
	return string(text)
}

// deployment is how one of the examples starts minidoor.
type deployment struct {
	env   map[string]string
	files []string // texts of those given with -conf
}

func deployments(t *testing.T) map[string]deployment {
	t.Helper()
	k8s := kubernetes(t)
	secrets := k8s["Secret"].StringData
	return map[string]deployment{
		"minidoor.service": {
			env:   assignments(readDeploy(t, "minidoor.service"), "Environment="),
			files: []string{readDeploy(t, "minidoor.conf"), ""}, // secrets.conf may be empty
		},
		"Dockerfile":      {env: assignments(readDeploy(t, "Dockerfile"), "ENV ")},
		"compose.yaml":    {env: compose(t).Services["minidoor"].Environment},
		"kubernetes.yaml": {env: k8s.env(), files: []string{secrets["secrets.conf"]}},
		"the key of kubernetes.yaml": {
			env: map[string]string{"sealKey": secrets["seal.key"]},
		},
	}
}

// assignments returns those of lines that begin with prefix and go on with NAME=value.
func assignments(text, prefix string) map[string]string {
	found := map[string]string{}
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), prefix); ok {
			name, value, _ := strings.Cut(rest, "=")
			found[name] = value
		}
	}
	return found
}

// What the examples set means something, is valid, and makes minidoor listen where the proxies look.
func TestDeploySettings(t *testing.T) {
	t.Parallel()
	known := map[string]bool{"GOMEMLIMIT": true, "TMPDIR": true}
	for field := range reflect.TypeFor[conf.Config]().Fields() {
		known[field.Tag.Get("conf")] = true
	}
	for name, d := range deployments(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NotEmpty(t, d.env)
			for key := range d.env {
				assert.True(t, known[key], "%s is no key of conf", key)
			}
			var paths []string
			for _, text := range d.files {
				paths = append(paths, filepath.Join(t.TempDir(), "minidoor.conf"))
				require.NoError(t, os.WriteFile(paths[len(paths)-1], []byte(text), 0o600))
			}
			cfg, err := conf.Load(paths, func(key string) (string, bool) {
				value, ok := d.env[key]
				return value, ok
			})
			require.NoError(t, err)
			assert.Empty(t, cfg.Unknown)
			assert.Equal(t, deployPort, cfg.HTTPPort)
		})
	}
}

// What is commented out means something too.
func TestDeployConfComments(t *testing.T) {
	t.Parallel()
	text := regexp.MustCompile(`(?m)^# *(\w+ = )`).ReplaceAllString(readDeploy(t, "minidoor.conf"), "$1")
	path := filepath.Join(t.TempDir(), "minidoor.conf")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	cfg, err := conf.Load([]string{path}, func(string) (string, bool) { return "", false })
	require.NoError(t, err)
	assert.Empty(t, cfg.Unknown)
	assert.NotEmpty(t, cfg.InitDataFile)
}

// What takes room while it arrives lies on the disk: /tmp may be memory, and the unit has not as much.
func TestDeployUnit(t *testing.T) {
	t.Parallel()
	text := readDeploy(t, "minidoor.service")
	unit := assignments(text, "")
	assert.Equal(t, "%S/"+unit["StateDirectory"], unit["WorkingDirectory"])
	assert.Equal(t, unit["WorkingDirectory"], assignments(text, "Environment=")["TMPDIR"])
}

// Whoever waits for the program waits longer than it takes: to end, and to answer.
func TestDeployTimes(t *testing.T) {
	t.Parallel()
	end := seconds(t, "../controllers/serve.go", `drainTime = `) + 2*seconds(t, "../object/watch.go", `flushPatience = `)
	delay := seconds(t, deployFolder+"/kubernetes.yaml", `name: drainDelay, value: "`)
	assert.Greater(t, seconds(t, deployFolder+"/minidoor.service", `TimeoutStopSec=`), end)
	assert.Greater(t, seconds(t, deployFolder+"/compose.yaml", `stop_grace_period: `), end)
	assert.Greater(t, seconds(t, deployFolder+"/kubernetes.yaml", `terminationGracePeriodSeconds: `), end+delay)

	answer := seconds(t, "../controllers/server.go", `requestTimeout = `)
	assert.Greater(t, seconds(t, deployFolder+"/nginx.conf", `proxy_read_timeout `), answer)
	assert.Greater(t, seconds(t, deployFolder+"/Caddyfile", `response_header_timeout `), answer)
	assert.Greater(t, seconds(t, "../examples/miniprogram/app.json", `"request": `), answer)

	assert.Greater(t, seconds(t, deployFolder+"/Caddyfile", `read_body `), seconds(t, "../controllers/upload.go", `uploadTime += `),
		"minidoor says what is wrong, and not Caddy")
	assert.Less(t, seconds(t, deployFolder+"/Caddyfile", `keepalive `), seconds(t, "../controllers/serve.go", `IdleTimeout: `),
		"minidoor closes no connection that a proxy is about to use")
}

// seconds returns how long a file says something takes that stands behind before: in seconds where there is no unit,
// and in milliseconds in JSON.
func seconds(t *testing.T, file, before string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	found := regexp.MustCompile(before + `(\d+)(?: \* time\.)?(Second|Minute|[sm]\b|)`).FindStringSubmatch(string(text))
	require.NotNil(t, found, "%s: %s", file, before)
	n, err := strconv.Atoi(found[1])
	require.NoError(t, err)
	switch {
	case found[2] == "Minute" || found[2] == "m":
		n *= 60
	case filepath.Ext(file) == ".json":
		n /= 1000
	}
	return n
}

func TestDeployPaths(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	files, err := os.ReadDir(deployFolder)
	require.NoError(t, err)
	seen := 0
	paths := regexp.MustCompile(`/(?:api|\.well-known)/[a-z_/-]*[a-z]\b`)
	for _, file := range files {
		for _, path := range paths.FindAllString(readDeploy(t, file.Name()), -1) {
			if path == "/.well-known/acme-challenge" {
				continue // the proxy's
			}
			seen++
			w := httptest.NewRecorder()
			s.Handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			assert.NotEqual(t, http.StatusNotFound, w.Code, "%s: %s", file.Name(), path)
		}
	}
	assert.NotZero(t, seen)
}

// composeFile is what we read of a compose file.
type composeFile struct {
	Services map[string]struct {
		Environment map[string]string
		Ports       []string
		Secrets     []string
		ReadOnly    bool `yaml:"read_only"`
		Volumes     []string
		Tmpfs       []string
	}
	Secrets map[string]struct{ File string }
}

// compose returns the compose file as it is with all variables set.
func compose(t *testing.T) (file composeFile) {
	t.Helper()
	text := regexp.MustCompile(`\$\{ORIGIN[^}]*\}`).ReplaceAllString(readDeploy(t, "compose.yaml"), "https://id.example.com")
	text = regexp.MustCompile(`\$\{[^}]*\}`).ReplaceAllString(text, "value")
	require.NoError(t, yaml.Unmarshal([]byte(text), &file))
	return file
}

func TestDeployCompose(t *testing.T) {
	t.Parallel()
	file := compose(t)
	gateway, casdoor := file.Services["minidoor"], file.Services["casdoor"]
	for _, key := range []string{"driverName", "dataSourceName", "dbName", "origin"} {
		assert.NotEmpty(t, gateway.Environment[key], key)
		assert.Equal(t, casdoor.Environment[key], gateway.Environment[key], "%s: one database, one issuer", key)
	}
	assert.Equal(t, []string{"127.0.0.1:8000:8000"}, gateway.Ports)
	assert.Empty(t, casdoor.Ports, "nobody reaches Casdoor past the gateway")
	assert.True(t, gateway.ReadOnly)
	assert.Equal(t, []string{"minidoor:" + gateway.Environment["TMPDIR"]}, gateway.Volumes, "where uploads fill no memory")
	assert.Empty(t, gateway.Tmpfs)
	require.Len(t, gateway.Secrets, 1)
	assert.Contains(t, file.Secrets, gateway.Secrets[0])
	assert.Equal(t, "/run/secrets/"+gateway.Secrets[0], gateway.Environment["sealKeyFile"])
	host := regexp.MustCompile(`^http://(\w+):8000$`).FindStringSubmatch(gateway.Environment["casdoorUpstream"])
	require.NotNil(t, host)
	assert.Contains(t, file.Services, host[1])
}

// manifest is what we read of a Kubernetes object.
type manifest struct {
	Kind       string
	Metadata   struct{ Name, Namespace string }
	StringData map[string]string `yaml:"stringData"`
	Spec       struct {
		Selector       any
		MinReplicas    int `yaml:"minReplicas"`
		Replicas       int
		ScaleTargetRef struct{ Kind, Name string } `yaml:"scaleTargetRef"`
		Ports          []struct {
			TargetPort string `yaml:"targetPort"`
		}
		Template struct {
			Metadata struct{ Labels map[string]any }
			Spec     struct {
				GracePeriod int `yaml:"terminationGracePeriodSeconds"`
				Containers  []container
				Volumes     []struct {
					Name   string
					Secret struct {
						SecretName string `yaml:"secretName"`
					}
				}
			}
		}
	}
}

type container struct {
	Args         []string
	Env          []struct{ Name, Value string }
	Ports        []containerPort
	VolumeMounts []struct {
		Name      string
		MountPath string `yaml:"mountPath"`
		ReadOnly  bool   `yaml:"readOnly"`
	} `yaml:"volumeMounts"`
}

type containerPort struct {
	Name string
	Port int `yaml:"containerPort"`
}

// cluster is a Kubernetes manifest, by kind.
type cluster map[string]manifest

func kubernetes(t *testing.T) cluster {
	t.Helper()
	objects := cluster{}
	decoder := yaml.NewDecoder(strings.NewReader(readDeploy(t, "kubernetes.yaml")))
	for {
		var m manifest
		err := decoder.Decode(&m)
		if errors.Is(err, io.EOF) {
			return objects
		}
		require.NoError(t, err)
		require.NotContains(t, objects, m.Kind)
		objects[m.Kind] = m
	}
}

func (c cluster) container() container { return c["Deployment"].Spec.Template.Spec.Containers[0] }

func (c cluster) env() map[string]string {
	env := map[string]string{}
	for _, e := range c.container().Env {
		env[e.Name] = e.Value
	}
	return env
}

func TestDeployKubernetes(t *testing.T) {
	t.Parallel()
	c := kubernetes(t)
	pod := c["Deployment"].Spec.Template
	for kind, m := range c {
		assert.Equal(t, "minidoor", m.Metadata.Name, kind)
		assert.Equal(t, "minidoor", cmp.Or(m.Metadata.Namespace, m.Metadata.Name), kind)
	}
	assert.Equal(t, pod.Metadata.Labels, c["Service"].Spec.Selector)
	for _, kind := range []string{"Deployment", "PodDisruptionBudget"} {
		assert.Equal(t, map[string]any{"matchLabels": pod.Metadata.Labels}, c[kind].Spec.Selector, kind)
	}
	scaler := c["HorizontalPodAutoscaler"].Spec
	assert.Equal(t, "Deployment", scaler.ScaleTargetRef.Kind)
	assert.Equal(t, c["Deployment"].Metadata.Name, scaler.ScaleTargetRef.Name)
	assert.Equal(t, c["Deployment"].Spec.Replicas, scaler.MinReplicas)
	assert.Greater(t, scaler.MinReplicas, 1, "one can go while the other serves")

	assert.Equal(t, []containerPort{{"http", deployPort}}, c.container().Ports)
	require.Len(t, c["Service"].Spec.Ports, 1)
	assert.Equal(t, "http", c["Service"].Spec.Ports[0].TargetPort)
	mounted := map[string]bool{}
	for _, mount := range c.container().VolumeMounts {
		for _, volume := range pod.Spec.Volumes {
			if volume.Name == mount.Name && volume.Secret.SecretName == c["Secret"].Metadata.Name {
				for file := range c["Secret"].StringData {
					mounted[mount.MountPath+"/"+file] = true
				}
			}
		}
	}
	writable := map[string]bool{}
	for _, mount := range c.container().VolumeMounts {
		writable[mount.MountPath] = !mount.ReadOnly
	}
	assert.True(t, writable["/tmp"], "an upload is a file there until it is complete")
	assert.NotEmpty(t, c.env()["s3Region"])
	assert.True(t, mounted[c.env()["sealKeyFile"]])
	assert.True(t, mounted[c.container().Args[1]])
}
