// An oracle for server-side apply: runs stories through Kubernetes' own field manager.
//
// Reads one JSON story a line on standard input and answers each with one line: the
// object after every step, or the error. The schema is OpenAPI as the program under
// test publishes it. Times are left out: they are not the story.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

type story struct {
	Root        string                  `json:"root"`
	Group       string                  `json:"group"`
	Version     string                  `json:"version"`
	Kind        string                  `json:"kind"`
	Definitions map[string]*spec.Schema `json:"definitions"`
	Reset       bool                    `json:"reset"`
	Steps       []step                  `json:"steps"`
}

type step struct {
	Apply       bool            `json:"apply"`
	Force       bool            `json:"force"`
	Manager     string          `json:"manager"`
	Subresource string          `json:"subresource"`
	Object      json.RawMessage `json:"object"`
}

type answer struct {
	Object map[string]interface{} `json:"object,omitempty"`
	Error  string                 `json:"error,omitempty"`
}

// There is one version of everything: nothing is converted, defaulted or created.
type plain struct{ gvk schema.GroupVersionKind }

func (plain) Convert(in, out, context interface{}) error { return fmt.Errorf("not needed") }

func (plain) ConvertToVersion(in runtime.Object, gv runtime.GroupVersioner) (runtime.Object, error) {
	return in, nil
}

func (plain) ConvertFieldLabel(gvk schema.GroupVersionKind, label, value string) (string, string, error) {
	return label, value, nil
}

func (plain) Default(runtime.Object) {}

func (p plain) New(kind schema.GroupVersionKind) (runtime.Object, error) {
	object := &unstructured.Unstructured{Object: map[string]interface{}{}}
	object.SetGroupVersionKind(p.gvk)
	return object, nil
}

func fields(names ...string) *fieldpath.Set {
	set := fieldpath.NewSet()
	for _, name := range names {
		set.Insert(fieldpath.MakePathOrDie(name))
	}
	return set
}

func (s *story) tell() ([]answer, error) {
	gvk := schema.GroupVersionKind{Group: s.Group, Version: s.Version, Kind: s.Kind}
	root := s.Definitions[s.Root]
	root.AddExtension("x-kubernetes-group-version-kind", []interface{}{
		map[string]interface{}{"group": s.Group, "version": s.Version, "kind": s.Kind},
	})
	types, err := managedfields.NewTypeConverter(s.Definitions, false)
	if err != nil {
		return nil, err
	}
	self := plain{gvk}
	version := fieldpath.APIVersion(gvk.GroupVersion().String())
	manager := func(subresource string) (*managedfields.FieldManager, error) {
		reset := map[fieldpath.APIVersion]fieldpath.Filter{}
		switch {
		case subresource == "status":
			reset[version] = fieldpath.NewExcludeSetFilter(fields("metadata", "spec"))
		case s.Reset:
			reset[version] = fieldpath.NewExcludeSetFilter(fields("status"))
		}
		return managedfields.NewDefaultCRDFieldManager(
			types, self, self, self, gvk, gvk.GroupVersion(), subresource, reset)
	}

	empty, _ := self.New(gvk)
	live := empty
	answers := []answer{}
	for _, step := range s.Steps {
		var content map[string]interface{}
		if err := utiljson.Unmarshal(step.Object, &content); err != nil {
			return nil, err
		}
		request := &unstructured.Unstructured{Object: content}
		fieldManager, err := manager(step.Subresource)
		if err != nil {
			return nil, err
		}
		var result runtime.Object
		if step.Apply {
			result, err = fieldManager.Apply(live.DeepCopyObject(), request, step.Manager, step.Force)
		} else {
			result, err = fieldManager.Update(live.DeepCopyObject(), request, step.Manager)
		}
		if err != nil {
			answers = append(answers, answer{Error: err.Error()})
			continue
		}
		live = result
		told := result.(*unstructured.Unstructured).DeepCopy()
		entries := told.GetManagedFields()
		for i := range entries {
			entries[i].Time = nil
		}
		told.SetManagedFields(entries)
		answers = append(answers, answer{Object: told.Object})
	}
	return answers, nil
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := json.NewEncoder(os.Stdout)
	decoder := json.NewDecoder(in)
	for decoder.More() {
		var s story
		if err := decoder.Decode(&s); err != nil {
			fmt.Fprintln(os.Stderr, "cannot read a story:", err)
			os.Exit(1)
		}
		answers, err := s.tell()
		if err != nil {
			fmt.Fprintln(os.Stderr, "cannot tell a story:", err)
			os.Exit(1)
		}
		if err := out.Encode(answers); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
