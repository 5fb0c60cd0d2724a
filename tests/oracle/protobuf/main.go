// Prints how the messages of Kubernetes' own kinds are laid out, from the protobuf and json
// tags of their Go types: crates/apiserver/src/wire/protobuf/messages.txt is its output.
//
//	go run . > ../../../crates/apiserver/src/wire/protobuf/messages.txt
package main

import (
	"fmt"
	"reflect"
	"sort"
	"strings"

	apps "k8s.io/api/apps/v1"
	authn "k8s.io/api/authentication/v1"
	authz "k8s.io/api/authorization/v1"
	autoscaling "k8s.io/api/autoscaling/v1"
	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	events "k8s.io/api/events/v1"
	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var seen = map[string]string{}

func short(t reflect.Type) string {
	p := t.PkgPath()
	p = strings.TrimPrefix(p, "k8s.io/api/")
	p = strings.TrimPrefix(p, "k8s.io/apimachinery/pkg/apis/")
	p = strings.TrimPrefix(p, "k8s.io/apimachinery/pkg/")
	return strings.ReplaceAll(p, "/", ".") + "." + t.Name()
}

func kind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "bool"
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint32, reflect.Uint8:
		return "int"
	case reflect.Float64:
		return "double"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
		return "[]" + kind(t.Elem())
	case reflect.Map:
		return "{}" + kind(t.Elem())
	case reflect.Ptr:
		return kind(t.Elem())
	case reflect.Struct:
		switch short(t) {
		case "api.resource.Quantity":
			return "quantity"
		case "util.intstr.IntOrString":
			return "intstr"
		case "meta.v1.Time":
			return "time"
		case "meta.v1.MicroTime":
			return "microtime"
		case "meta.v1.FieldsV1", "runtime.RawExtension":
			return "json"
		}
		visit(t)
		return short(t)
	}
	panic(t.String())
}

func visit(t reflect.Type) {
	n := short(t)
	if _, ok := seen[n]; ok {
		return
	}
	seen[n] = ""
	var out []string
	for i := 0; i < t.NumField(); i++ {
		f := t.Field(i)
		pb := f.Tag.Get("protobuf")
		if pb == "" {
			continue
		}
		num := strings.Split(pb, ",")[1]
		js := strings.Split(f.Tag.Get("json"), ",")
		name := js[0]
		for _, o := range js[1:] {
			if o == "inline" {
				name = "^"
			}
		}
		if name == "" {
			name = "^"
		}
		mark := ""
		k := kind(f.Type)
		if f.Type.Kind() == reflect.Ptr && (k == "string" || k == "bool" || k == "int" || k == "double") {
			mark = "?"
		}
		out = append(out, fmt.Sprintf("%s%s=%s:%s", name, mark, num, k))
	}
	seen[n] = strings.Join(out, " ")
}

func main() {
	for _, o := range []interface{}{core.Namespace{}, core.Pod{}, core.Service{}, core.ConfigMap{}, core.Secret{}, core.ServiceAccount{}, core.Endpoints{}, core.Node{}, core.Event{}, apps.Deployment{}, apps.ReplicaSet{}, coordination.Lease{}, discovery.EndpointSlice{}, events.Event{}, rbac.Role{}, rbac.RoleBinding{}, rbac.ClusterRole{}, rbac.ClusterRoleBinding{}, authz.SelfSubjectAccessReview{}, authz.SelfSubjectRulesReview{}, authz.SubjectAccessReview{}, authn.SelfSubjectReview{}, authn.TokenReview{}, autoscaling.Scale{}, meta.DeleteOptions{}} {
		visit(reflect.TypeOf(o))
	}
	var names []string
	for n := range seen {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		fmt.Println(n, seen[n])
	}
}
