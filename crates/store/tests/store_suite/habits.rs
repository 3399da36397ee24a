//! Habits: who shows what, since when, and what is forgotten.

use crate::both;
use crate::fixtures::at;
use hinomi_store::HabitRow;

#[tokio::test(flavor = "multi_thread")]
async fn a_habit_counts_its_subjects_and_a_lone_one_is_forgotten() {
    both(|store| async move {
        let mut tx = store.begin().await.unwrap();
        tx.put_habit("pair|a|b", "device-1", at(50)).await.unwrap();
        tx.put_habit("pair|a|b", "device-1", at(10)).await.unwrap();
        tx.put_habit("pair|a|b", "device-2", at(60)).await.unwrap();
        tx.put_habit("pair|c|d", "device-1", at(10)).await.unwrap();
        tx.put_habit("pair|e|f", "device-1", at(70)).await.unwrap();
        tx.put_habit("rule|x", "device-1", at(10)).await.unwrap();
        for number in 0..100 {
            tx.put_habit("rule|everywhere", &format!("device-{number}"), at(number)).await.unwrap();
        }
        tx.commit().await.unwrap();
        let habit = async |name: &str| store.habit(name, at(20)).await.unwrap();
        assert_eq!(habit("pair|a|b").await, HabitRow { subjects: 2, settled: 1 }, "the earlier time stands");
        assert_eq!(habit("rule|everywhere").await, HabitRow { subjects: 64, settled: 21 });
        assert_eq!(store.prune_habits("pair|", at(65)).await.unwrap(), 1);
        assert_eq!(habit("pair|a|b").await.subjects, 2, "two show it");
        assert_eq!(habit("pair|c|d").await.subjects, 0, "one did, long ago");
        assert_eq!(habit("pair|e|f").await.subjects, 1, "one does, since shortly");
        assert_eq!(habit("rule|x").await.subjects, 1, "another kind");
    })
    .await;
}
