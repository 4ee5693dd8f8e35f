//! Requests about evaluation datasets and scorers.

use access::{Action, Need};

use super::{Judge, Needs, each, read_all, refused};
use crate::sign_on::needs::{deleting_scorer, experiment_need, scorer_needs};
use crate::sign_on::rules::Rule;
use crate::wire::missing;

impl Judge<'_> {
    pub(super) async fn of_datasets(&self, rule: Rule) -> Needs {
        match rule {
            Rule::Dataset(action) => self.dataset(action).await,
            Rule::AddDataset => {
                let mut needs = self.dataset(Action::Update).await?;
                let added = self.experiments("experiment_ids")?;
                needs.extend(each(&added, |id| vec![experiment_need(Action::Update, id)]));
                Ok(needs)
            }
            Rule::Scorer => self.scorer(|id, name| scorer_needs(Action::Read, id, name)),
            Rule::RegisterScorer => self.scorer(|id, name| {
                let mut needs = scorer_needs(Action::Unless, id, name);
                needs.push(experiment_need(Action::Update, id));
                needs
            }),
            Rule::DeleteScorer => {
                let names_version = self.asked.has_at(&["version"])?;
                self.scorer(|id, name| deleting_scorer(id, name, names_version))
            }
            Rule::ListScorers => {
                let one = read_all(&self.asked.all("experiment_id"))?;
                Ok(each(&one, |id| vec![experiment_need(Action::Read, id)]))
            }
            Rule::OnlineScorings => self.online_scorings().await,
            _ => refused(),
        }
    }

    async fn dataset(&self, action: Action) -> Needs {
        let mut needs = Vec::new();
        for id in self.asked.all("dataset") {
            let experiments = match id.parse() {
                Ok(id) => self.app.datasets.list_experiments(&id).await?,
                Err(_) => Vec::new(),
            };
            if experiments.is_empty() {
                return refused();
            }
            let each = experiments.iter();
            needs.extend(each.map(|id| experiment_need(action, id.as_str())));
        }
        if needs.is_empty() {
            refused()
        } else {
            Ok(needs)
        }
    }

    fn scorer(&self, needs: impl Fn(&str, &str) -> Vec<Need>) -> Needs {
        let names = self.asked.all("name");
        if names.is_empty() {
            return Err(missing("name"));
        }
        let experiments = self.experiments("experiment_id")?;
        let each = experiments.iter();
        Ok(each
            .flat_map(|id| names.iter().flat_map(|name| needs(id, name)))
            .collect())
    }

    async fn online_scorings(&self) -> Needs {
        let ids = self.asked.all("scorer_ids");
        let ids: Vec<_> = ids
            .iter()
            .map(|id| id.parse())
            .filter_map(Result::ok)
            .collect();
        let scorings = self.app.datasets.list_online_scorings(&ids).await?;
        let each = scorings.iter();
        Ok(each
            .map(|scoring| experiment_need(Action::Read, scoring.experiment.as_str()))
            .collect())
    }
}
