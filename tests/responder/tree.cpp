#include <algorithm>
#include <bit>
#include <cstring>
#include <map>

#include "plan.hpp"

namespace responder {
namespace {

constexpr uint32_t none = UINT32_MAX;

size_t label_count(Bytes name) {
  size_t labels = 0;
  for (size_t at = 0; at < name.size() && name[at]; at += name[at] + 1u) ++labels;
  return labels;
}

// The hash of a name grows from its parent's, so that a walk from the root costs one pass.
uint64_t extend(uint64_t parent, Bytes label) {
  uint64_t hash = parent;
  for (uint8_t octet : label) hash = (hash ^ octet) * 0x100000001b3;
  return hash ^ hash >> 29;
}
constexpr uint64_t root_hash = 0xcbf29ce484222325;

uint64_t hash_of(Bytes name) {
  if (name.size() <= 1) return root_hash;
  size_t label = name[0] + 1u;
  return extend(hash_of(name.subspan(label)), name.first(label));
}

Bytes bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

bool is_below(Bytes name, Bytes suffix) {
  if (name.size() <= suffix.size()) return false;
  for (size_t at = 0; at < name.size() - suffix.size();) {
    at += name[at] + 1u;
    if (at == name.size() - suffix.size())
      return std::equal(suffix.begin(), suffix.end(), name.begin() + static_cast<long>(at));
  }
  return false;
}

// May the rule match a name that is `node` itself, or, where `below`, some name under it for which
// no deeper node exists?
bool matches(const Rule& rule, Bytes node, bool below) {
  if (rule.every_name) return true;
  Bytes pattern(rule.name);
  bool same = std::equal(node.begin(), node.end(), pattern.begin(), pattern.end());
  if (rule.below) return is_below(node, pattern) || (same && below);
  return same && !below;
}

}  // namespace

RuleTree::RuleTree(const std::vector<const Rule*>& rules) {
  // Every pattern's name and the root: whatever a name is, its deepest node knows all the rules.
  std::map<std::string, int> names = {{std::string(1, '\0'), 0}};
  for (const Rule* rule : rules)
    if (!rule->every_name) names[std::string(rule->name.begin(), rule->name.end())];
  slots_.assign(std::bit_ceil(names.size() * 4), none);
  for (const auto& [name, unused] : names) {
    Node node{name, hash_of(bytes_of(name)), {}, {}};
    for (const Rule* rule : rules) {
      if (matches(*rule, bytes_of(name), false)) node.exact.push_back(rule);
      if (matches(*rule, bytes_of(name), true)) node.below.push_back(rule);
    }
    deepest_ = std::max(deepest_, label_count(bytes_of(name)));
    size_t slot = node.hash;
    while (slots_[slot % slots_.size()] != none) ++slot;
    slots_[slot % slots_.size()] = static_cast<uint32_t>(nodes_.size());
    nodes_.push_back(std::move(node));
  }
}

const RuleTree::Node* RuleTree::find(Bytes name, uint64_t hash) const {
  for (size_t slot = hash;; ++slot) {
    uint32_t index = slots_[slot & (slots_.size() - 1)];
    if (index == none) return nullptr;
    const Node& node = nodes_[index];
    if (node.hash == hash && node.name.size() == name.size() &&
        std::memcmp(node.name.data(), name.data(), name.size()) == 0)
      return &node;
  }
}

std::span<const Rule* const> RuleTree::candidates(Bytes name,
                                                  std::span<const uint8_t> labels) const {
  const Node* deepest = find(name.last(1), root_hash);
  bool exact = labels.empty();
  uint64_t hash = root_hash;
  size_t end = name.size() - 1;
  for (size_t i = labels.size(); i-- > 0 && labels.size() - i <= deepest_;) {
    hash = extend(hash, name.subspan(labels[i], end - labels[i]));
    end = labels[i];
    if (const Node* node = find(name.subspan(labels[i]), hash)) {
      deepest = node;
      exact = i == 0;
    }
  }
  return exact ? deepest->exact : deepest->below;
}

ListenerPlan::ListenerPlan(std::vector<const Rule*> ordered, ListenerSettings given,
                           size_t rules_in_plan)
    : settings(std::move(given)), tree(ordered), rule_ids(rules_in_plan) {
  for (const Rule* rule : ordered) counts_tries |= rule->when.tries.has_value();
}

std::vector<std::shared_ptr<const ListenerPlan>> Plan::for_listeners(size_t count) const {
  std::map<std::vector<bool>, std::shared_ptr<const ListenerPlan>> made;
  std::vector<std::shared_ptr<const ListenerPlan>> plans;
  for (size_t number = 1; number <= count; ++number) {
    std::vector<bool> member;
    for (const Section& section : sections)
      member.push_back(section.general || section.servers.holds(number));
    auto& plan = made[member];
    if (!plan) {
      std::vector<const Rule*> rules;
      ListenerSettings settings;
      for (bool general : {false, true})
        for (size_t i = 0; i < sections.size(); ++i)
          if (member[i] && sections[i].general == general)
            rules.insert(rules.end(), sections[i].rules.begin(), sections[i].rules.end());
      for (size_t i = 0; i < sections.size(); ++i)
        if (member[i])
          for (const auto& change : sections[i].changes) change(settings);
      plan = std::make_shared<const ListenerPlan>(std::move(rules), std::move(settings),
                                                  this->rules.size());
    }
    plans.push_back(plan);
  }
  return plans;
}

}  // namespace responder
